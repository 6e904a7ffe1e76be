"""`python manage.py trigger_orders`, every few minutes: whatever was committed and not triggered, is triggered now."""

from typing import Any

from django.core.management.base import BaseCommand

from shop.certificates import trigger
from shop.models import Order


class Command(BaseCommand):
    """Trigger the orders of which nobody knows whether they were."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """One that was triggered right before a crash is triggered again: it is one job all the same."""
        for order in Order.objects.filter(triggered=False):
            trigger(order)
            self.stdout.write(order.job_id)
