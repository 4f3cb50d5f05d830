"""WebSockets: who is connected, what they may say and hear, and how they are let go."""
