"""Properties are about values, not about how busy the machine is: hypothesis shall not time them."""

from hypothesis import settings

settings.register_profile("harness", deadline=None)
settings.load_profile("harness")
