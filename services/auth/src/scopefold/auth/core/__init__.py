"""Auth's decisions: values in, values out. Time, ids and randomness are arguments."""
