"""The clients of the four APIs against the simulator, a scripted server, and raw sockets."""
