"""Stand-in upstream identity providers with the real ones' quirks, and a playground client of Scopefold.

For development, demonstrations and tests. Everything is held in memory and gone when the process ends; the users
and the app's secret are public knowledge and the console has no login, so it belongs on a loopback address.
Refuses to know anything of Scopefold but its public address: a stand-in that shared the product's beliefs about a
provider would share its errors.
"""
