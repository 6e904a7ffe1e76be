"""All that the shop knows of Settle."""

from functools import cache

from django.conf import settings

from settle_client import Handle, Settle
from shop.models import Order


@cache
def client() -> Settle:
    """One client for each process, made when it is first needed: after a server has forked."""
    return Settle(settings.SETTLE_BROKER, settings.SETTLE_RESULTS)


def trigger(order: Order) -> Handle:
    """Ask for the certificate of an order. Called twice, because nobody knows whether it was, it is one job."""
    job = client().myipr.certify(
        name=f"{order.name} (order {order.pk})",
        category_id="10",
        hash=order.sha256,
        size=str(order.kilobytes),
        job_id=order.job_id,
        tags={"shop": "django"},
    )
    order.triggered = True
    order.save(update_fields=["triggered"])
    return job
