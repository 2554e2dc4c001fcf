"""One module a destination, each a class that fulfils `base.Destination`."""
