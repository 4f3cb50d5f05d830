"""A page at /docs to read and try the contract with, in development only.

`swagger_ui/` holds files of the npm package swagger-ui-dist 5.35.0, unchanged. A newer version:
`npm pack swagger-ui-dist@5`, take the same five files, then `sha256sum LICENSE NOTICE swagger-ui*
> SHA256SUMS` in that folder.
"""
