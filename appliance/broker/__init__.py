"""The door to the devices: MQTT, the keys and certificates behind it, and the files that mosquitto runs on."""
