"""How people and applications reach a job: actions and queries (shared), `cli`, `web`, `webhooks`, `schedules`."""
