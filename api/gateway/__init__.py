"""Calls of services: own data in this process, other upstreams through a streaming proxy; admitted first, metered always."""
