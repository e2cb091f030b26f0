"""The settings of a Django project, as they were."""

import os

HOST, PORT = os.environ.get("DATABASE_ADDRESS", "127.0.0.1:5432").split(":")

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": HOST,
        "PORT": PORT,
        "NAME": "postgres",
        "USER": "postgres",
        "OPTIONS": {"connect_timeout": 2},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"redis://{os.environ.get('CACHE_ADDRESS', '127.0.0.1:6379')}",
    }
}
