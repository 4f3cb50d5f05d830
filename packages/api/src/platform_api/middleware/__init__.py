"""What stands between the socket and a feature: one pure ASGI class a module,
and what they judge by."""
