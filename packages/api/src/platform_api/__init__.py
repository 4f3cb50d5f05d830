"""The HTTP and WebSocket server, its composition root and its commands."""
