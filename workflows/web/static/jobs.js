/* The live parts of the Jobs page. A part is made by the server and put in place as it is; nothing is built here. */
(function () {
    "use strict";

    var page = document.getElementById("jobs-page"),
        search = document.getElementById("search"),
        rows = document.getElementById("rows"),
        wrong = document.getElementById("search-wrong"),
        // Between two looks at the same part, milliseconds.
        PAUSE = 1000,
        state = new WeakMap();

    function busy(part) {
        // Somebody is writing into it: it waits until the next event.
        var active = document.activeElement;
        return part.contains(active) && active.tagName === "INPUT";
    }

    function load(part) {
        var own = state.get(part);
        var number = own.number = own.number + 1;
        own.wanted = false;
        own.loading = true;
        fetch(part.dataset.live, {credentials: "same-origin"}).then(function (answer) {
            return answer.text().then(function (text) {
                if (number !== own.number) {
                    return;  // a later answer is on its way
                }
                if (answer.ok) {
                    if (!busy(part)) {
                        part.innerHTML = text;
                    }
                    if (wrong && part === rows) {
                        wrong.textContent = "";
                    }
                } else if (wrong && part === rows) {
                    var found = new DOMParser().parseFromString(text, "text/html").getElementById("wrong");
                    wrong.textContent = found ? found.textContent.trim() : "The server answered " + answer.status;
                }
            });
        }).catch(function () {
            own.wanted = true;
        }).finally(function () {
            window.setTimeout(function () {
                own.loading = false;
                if (own.wanted) {
                    load(part);
                }
            }, PAUSE);
        });
    }

    function refresh(part) {
        var own = state.get(part);
        own.wanted = true;
        if (!own.loading) {
            load(part);
        }
    }

    function say(text, kind) {
        document.getElementById("jobs-live").textContent = text;
        document.getElementById("jobs-dot").className = "status-dot " + kind;
    }

    var parts = Array.from(document.querySelectorAll("[data-live]"));
    parts.forEach(function (part) {
        state.set(part, {wanted: false, loading: false, number: 0});
    });

    // Reload only what an event is about.
    function on(name) {
        return function () {
            parts.filter(function (part) {
                return part.dataset.on === name;
            }).forEach(refresh);
        };
    }

    var events = new EventSource(page.dataset.events);
    events.addEventListener("open", function () {
        say("Live", "status-dot-live");
        parts.forEach(refresh);  // what happened since the page was made, or since the connection was lost
    });
    events.addEventListener("error", function () {
        say("Connecting…", "status-dot-error");
    });
    events.addEventListener("job", on("job"));
    events.addEventListener("overview", on("overview"));
    events.addEventListener("reset", on("job"));
    window.addEventListener("pagehide", function () {
        events.close();
    });

    // A question before what cannot be taken back; also for parts that came later.
    document.addEventListener("submit", function (event) {
        var question = event.submitter && event.submitter.dataset.confirm;
        if (question && !window.confirm(question)) {
            event.preventDefault();
        }
    });

    if (search) {
        var timer;
        var look = function () {
            var given = new URLSearchParams();
            new FormData(search).forEach(function (value, name) {
                if (value) {
                    given.append(name, value);
                }
            });
            var text = given.toString();
            window.history.replaceState(null, "", search.getAttribute("action") + (text ? "?" + text : ""));
            rows.dataset.live = rows.dataset.rows + (text ? "?" + text : "");
            var own = state.get(rows);
            own.loading = false;  // a search does not wait for the pause
            refresh(rows);
        };
        search.addEventListener("input", function () {
            window.clearTimeout(timer);
            timer = window.setTimeout(look, 250);
        });
        search.addEventListener("submit", function (event) {
            event.preventDefault();
            window.clearTimeout(timer);
            look();
        });
    }
}());
