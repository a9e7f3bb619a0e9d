"""A real Chromium against the really started servers."""
