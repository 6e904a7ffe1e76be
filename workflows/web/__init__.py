"""The Jobs page inside Flower, and the same as JSON: handlers, templates and files that Flower serves with its own."""
