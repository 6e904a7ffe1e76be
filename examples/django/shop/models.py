"""What the shop sells: files with a certificate."""

from django.db import models


class Order(models.Model):
    """An order, and what became of its certificate."""

    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    kilobytes = models.PositiveIntegerField()
    triggered = models.BooleanField(default=False)
    certificate = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"order {self.pk}"

    @property
    def job_id(self) -> str:
        """The job of this order: always the same, so that a second trigger is no second certificate."""
        return f"shop-order-{self.pk}"
