"""The demo trust: invented people, screens drawn for it, and the recorded school days that its three devices play."""
