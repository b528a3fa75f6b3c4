"""The running server: a thread with a loop, the doors that lead to the application, and the routes."""
