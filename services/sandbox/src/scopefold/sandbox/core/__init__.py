"""What the stand-ins decide, without a socket: plain values in, plain values out; time and randomness are arguments."""
