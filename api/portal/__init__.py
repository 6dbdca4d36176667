"""The portal's pages: the map, the shelf, the desk. A page asks the API (`ask`) as any other client would, and shows what it says."""
