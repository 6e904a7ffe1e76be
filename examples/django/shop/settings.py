"""The settings of a small shop: only what the example needs."""

import os
from pathlib import Path

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ.get("SHOP_DATABASE", "shop.sqlite3")),
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}

#: Where Settle is; both from the environment, as they hold a password.
SETTLE_BROKER = os.environ["BROKER_URL"]
SETTLE_RESULTS = os.environ.get("RESULT_URL")
