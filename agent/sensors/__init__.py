"""What the device can see: one platform a file, each an adapter to the ports in `ports`."""
