"""Counts the consumers that have started and finished."""

from channels.signals import consumer_finished, consumer_started
from django.dispatch import receiver

counts = {"started": 0, "finished": 0}


@receiver(consumer_started)
def count_start(sender, **kwargs):
    counts["started"] += 1


@receiver(consumer_finished)
def count_finish(sender, **kwargs):
    counts["finished"] += 1
