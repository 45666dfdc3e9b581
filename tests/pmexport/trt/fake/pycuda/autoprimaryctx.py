"""The primary context, made on import."""

import fake_device

fake_device.call("autoprimaryctx")
