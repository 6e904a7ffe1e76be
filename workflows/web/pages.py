"""The pages for people: all jobs, one job, and what the buttons do. Live parts are asked for by themselves."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from jobs.errors import InvalidJob, SettleError
from jobs.search import Overview, Page
from jobs.states import JobState
from workflows import acts
from workflows.advice import advice
from workflows.listing import GROUPS, query
from workflows.web import api, models, plots, shown
from workflows.web.handler import PageHandler, refusal

#: What a button may say it has done, when the page is shown again.
_DONE = {
    "cancel": "The job ends at its next stage.",
    "pause": "Paused.",
    "resume": "It goes on.",
    "replay": "Its files are fetched and verified again.",
    "resolve": "The doubt is ended.",
}


class Search(models.Taken):
    """The fields of the search above the table."""

    provider: str = ""
    state: str = ""
    tag: list[str] = Field([], max_length=20, description="NAME=VALUE")
    text: str = Field("", max_length=200)
    since: str = Field("", max_length=50)
    after: str = Field("", max_length=220)
    limit: int = Field(50, ge=1, le=500)


class OneJob(models.Taken):
    """Which job, and what was just done about it."""

    id: str
    done: str = ""


class JobsPage(PageHandler):
    """All jobs."""

    async def get(self) -> None:
        """The whole page."""
        search = self.parameters(Search)
        page, wrong = None, None
        try:
            page = await self.work(lambda: self.find(search))
        except InvalidJob as error:
            wrong = str(error)
            self.set_status(400)
        overviews = await self.work(lambda: self.run.ledger.overview(list(self.run.settings.providers())))
        states = [*GROUPS, *(state.value for state in JobState)]
        self.render("jobs.html", **self.rows(search, page), wrong=wrong, states=states, **self.figures(overviews))

    def find(self, search: Search) -> Page:
        """The jobs that are searched for, in a thread."""
        wanted = query(
            self.run,
            providers=[search.provider] if search.provider else [],
            states=[search.state] if search.state else [],
            tags=[tag for tag in search.tag if tag],
            **search.model_dump(include={"text", "since", "after", "limit"}),
        )
        return self.run.ledger.find(wanted)

    def rows(self, search: Search, page: Page | None) -> dict[str, Any]:
        """What the table shows."""
        given = {name: value for name, value in search.model_dump(exclude_defaults=True).items() if name != "after"}
        return {"ui": shown, "search": search, "page": page, "given": given}

    def figures(self, overviews: list[Overview] | tuple[Overview, ...]) -> dict[str, Any]:
        """What stands above the table."""
        most = max((each.unfinished for each in overviews), default=0)
        return {
            "overviews": overviews,
            "bars": {each.provider: plots.bar(each, most) for each in overviews},
            "lateness": plots.lateness(self.desk.feed.samples),
            "plots": plots,
            "State": JobState,
        }


class JobsRows(JobsPage):
    """The rows of the table."""

    async def get(self) -> None:
        """The rows alone."""
        search = self.parameters(Search)
        page = await self.work(lambda: self.find(search))
        self.render("jobs_rows.html", **self.rows(search, page))


class JobsFigures(JobsPage):
    """Counts and plots."""

    async def get(self) -> None:
        """What stands above the table, by the latest look of this process."""
        self.parameters(models.Nothing)
        self.render("jobs_figures.html", ui=shown, **self.figures(self.desk.feed.overviews))


class JobPage(PageHandler):
    """One job."""

    template = "job.html"

    async def get(self) -> None:
        """The page of a job."""
        wanted = self.parameters(OneJob)
        await self.show(wanted.id, done=_DONE.get(wanted.done))

    async def show(self, job_id: str, *, done: str | None = None, wrong: str | None = None) -> None:
        """Render the page.

        Raises:
            JobNotFound: there is no such job.
        """
        ledger = self.run.ledger
        job = await self.work(lambda: ledger.get(job_id))
        events = await self.work(lambda: ledger.events(job.provider, job_id))
        self.render(
            self.template,
            ui=shown,
            job=job,
            events=events,
            advice=advice(job),
            possible=acts.possible(self.run, job),
            done=done,
            wrong=wrong,
        )


class JobParts(JobPage):
    """What changes on the page of a job."""

    template = "job_parts.html"


class JobButton(JobPage):
    """A button of a job's page."""

    template = "job.html"

    async def get(self) -> None:
        """Only a button leads here; whoever loads the address sees the job."""
        self.redirect(shown.address(self.reverse_url("job"), {}, id=self.get_query_argument("id", "")))

    async def post(self) -> None:
        """Do it, and show the job again."""
        fields = {name: self.get_body_argument(name) for name in self.request.body_arguments if name != "_xsrf"}
        job_id = fields.pop("id", "")
        fields = {name: value for name, value in fields.items() if value != ""}
        how = fields.pop("how", None)  # of the three ways to end a doubt
        given: dict[str, Any] = {**fields, **({how: True} if how else {})}
        try:
            wanted = api.one_of(models.JobAct, given)
            await self.work(lambda: api.act(self, job_id, wanted))
        except SettleError as error:
            known = refusal(error)
            if known is None or known.status_code not in (400, 409):
                raise
            self.set_status(known.status_code)
            await self.show(job_id, wrong=known.message)
            return
        self.redirect(shown.address(self.reverse_url("job"), {}, id=job_id, done=str(given["act"])), status=303)


class ProviderButton(PageHandler):
    """The button of a provider's gate."""

    async def post(self) -> None:
        """Do it, and show all jobs again."""
        wanted = api.one_of(models.ProviderAct, {"act": self.get_body_argument("act", "")})
        name = self.get_body_argument("provider", "")
        await self.work(lambda: api.act_on_provider(self, name, wanted))
        self.redirect(self.reverse_url("jobs"), status=303)
