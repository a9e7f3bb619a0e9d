"""Other brokers, measured beside Scopefold: installed from pins, with glue of our own, started as they advise."""
