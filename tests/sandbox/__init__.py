"""The sandbox: stand-in identity providers and the playground, driven over real HTTP."""
