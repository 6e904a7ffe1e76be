"""Take an order, and tell where its certificate is."""

import json
import logging

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from settle_client import NotSent, State
from shop.certificates import client, trigger
from shop.models import Order

logger = logging.getLogger(__name__)


@csrf_exempt  # an API without cookies; with them, leave this out
@require_POST
def create(request: HttpRequest) -> JsonResponse:
    """Record an order, and trigger its certificate when it is committed: not for an order that is rolled back."""
    wanted = json.loads(request.body)
    with transaction.atomic():
        order = Order.objects.create(name=wanted["name"], sha256=wanted["sha256"], kilobytes=int(wanted["kilobytes"]))
        transaction.on_commit(lambda: _trigger(order))
        if wanted.get("refuse"):  # something else about the order that is wrong
            transaction.set_rollback(True)
            return JsonResponse({"error": "refused"}, status=409)
    return JsonResponse({"order": order.pk, "job": order.job_id}, status=202)


def _trigger(order: Order) -> None:
    """Not now is no error: `manage.py trigger_orders` does it later, as it does after a crash right before this."""
    try:
        trigger(order)
    except NotSent:
        logger.warning("the trigger of order %s waits for the broker", order.pk)


@require_GET
def show(request: HttpRequest, number: int) -> JsonResponse:
    """Where the certificate of an order is."""
    order = get_object_or_404(Order, pk=number)
    seen = client().job(order.job_id).look()
    if seen and seen.state is State.SUCCEEDED and not order.certificate:
        order.certificate = seen.artifacts[0].uri or ""
        order.save(update_fields=["certificate"])
    return JsonResponse(
        {
            "order": order.pk,
            "state": seen.state if seen else State.PENDING,
            "progress": seen.progress if seen else None,
            "error": seen.error.message if seen and seen.error else None,
            "certificate": order.certificate,
        }
    )
