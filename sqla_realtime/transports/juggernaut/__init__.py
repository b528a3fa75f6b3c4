"""Juggernaut's transports: the WebSocket, xhr-polling and jsonp-polling of Socket.IO 0.8, for clients nobody has to change."""
