"""How bytes move between a browser and the hub; each transport on Tornado, none knowing how messages are spelled."""
