"""The service of one shop: collects events over HTTP and moves customers as they come."""
