"""How the clients and publishers of Pusher's protocol reach the server: a WebSocket, XHR, and the HTTP API."""
