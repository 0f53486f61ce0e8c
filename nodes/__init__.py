"""The nodes: each is a schema and an ``execute`` of a few lines over ``samplers`` and ``ip2p``."""
