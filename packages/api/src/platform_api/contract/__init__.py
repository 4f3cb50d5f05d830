"""The published contract: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0) out of the code."""
