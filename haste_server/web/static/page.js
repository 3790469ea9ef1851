// Renews what is marked `data-live` when something has happened, as long as somebody looks: the server draws all pages.
// It is told by events; where it is not, it asks every few seconds.
"use strict";

(() => {
  const EVERY_MS = 4000; // not more often, whatever happens
  const SLOWEST_MS = 60000; // while the server does not answer
  const IDLE_MS = 30000; // with events: what they do not tell
  const SHARE = 20; // of its time, a page has the server draw at most one part in so many
  const EVENTS_AGAIN_MS = 60000; // after all places were taken
  const parts = () => document.querySelectorAll("[data-live]");

  // ---- what works without renewing

  document.addEventListener("submit", (event) => {
    const question = event.submitter && event.submitter.dataset.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  const all = () => document.querySelector("input[data-all]");
  const boxes = (box) => box.form.querySelectorAll(`input[type=checkbox][name="${box.dataset.all}"]`);
  const showAll = () => {
    const box = all();
    if (!box) return;
    const chosen = [...boxes(box)].filter((one) => one.checked).length;
    box.hidden = false;
    box.checked = chosen > 0 && chosen === boxes(box).length;
    box.indeterminate = chosen > 0 && !box.checked;
  };
  document.addEventListener("change", (event) => {
    if (event.target === all()) for (const one of boxes(event.target)) one.checked = event.target.checked;
    if (event.target.type === "checkbox") showAll();
  });

  document.addEventListener("click", (event) => {
    const place = event.target.closest("a[data-from]");
    const text = place && document.querySelector(place.getAttribute("href"));
    if (!text) return;
    event.preventDefault();
    text.focus();
    text.setSelectionRange(Number(place.dataset.from), Number(place.dataset.to));
  });

  showAll();
  if (parts().length === 0) return;

  // ---- drawing anew what is live

  const seen = new WeakMap(); // what the server drew last
  for (const part of parts()) seen.set(part, part.innerHTML);

  const CONTROLS = "input:not([type=hidden]), select, textarea";
  const isChoice = (node) => node.type === "checkbox" || node.type === "radio";
  const nameOf = (node) => [node.form && node.form.getAttribute("action"), node.name, node.id, isChoice(node) ? node.value : ""].join(" ");
  const isTouched = (node) => {
    if (isChoice(node)) return node.checked !== node.defaultChecked;
    if (node.tagName === "SELECT") return [...node.options].some((one) => one.selected !== one.defaultSelected);
    return node.value !== node.defaultValue;
  };

  // Who has moved to a link, a button or a field by keyboard must not lose it when its surroundings are drawn anew.
  const placeOf = (element) => {
    if (!element || element === document.body) return null;
    const within = element.closest("[data-live]");
    if (!within) return null;
    const isField = element.matches(CONTROLS);
    const alike = (node) => node.tagName === element.tagName && node.getAttribute("href") === element.getAttribute("href")
      && (isField ? nameOf(node) === nameOf(element) : node.textContent === element.textContent && node.id === element.id
        && (node.form && node.form.getAttribute("action")) === (element.form && element.form.getAttribute("action")));
    return { id: within.id, alike };
  };

  // A field that is being written in, or a list that is open, stays as it is.
  const isBusyIn = (part) => {
    if (part.matches("[data-busy]")) return true; // what somebody is about to change
    const active = document.activeElement;
    return part.contains(active) && active.matches(CONTROLS) && !isChoice(active);
  };

  // What was opened, moved sideways, typed or chosen stays so.
  const postureOf = (part) => ({
    open: [...part.querySelectorAll("details")].map((node) => node.open),
    left: [...part.querySelectorAll(".wide")].map((node) => node.scrollLeft),
    touched: new Map([...part.querySelectorAll(CONTROLS)].filter(isTouched).map((node) => [nameOf(node), node])),
  });

  const restore = (part, posture) => {
    part.querySelectorAll("details").forEach((node, number) => { node.open = Boolean(posture.open[number]); });
    part.querySelectorAll(".wide").forEach((node, number) => { node.scrollLeft = posture.left[number] || 0; });
    part.querySelectorAll(CONTROLS).forEach((node) => {
      const before = posture.touched.get(nameOf(node));
      if (!before) return;
      if (isChoice(node)) node.checked = before.checked;
      else node.value = before.value;
    });
  };

  const renew = (fresh) => {
    const place = placeOf(document.activeElement);
    for (const part of parts()) {
      const other = fresh.getElementById(part.id);
      if (!other || isBusyIn(part) || other.innerHTML === seen.get(part)) continue;
      const posture = postureOf(part);
      seen.set(part, other.innerHTML);
      part.replaceChildren(...other.childNodes);
      restore(part, posture);
      if (place && place.id === part.id) {
        const again = [...part.querySelectorAll("a, button, [tabindex], input, select, textarea")].find(place.alike);
        if (again) again.focus({ preventScroll: true });
      }
    }
    showAll();
    describe();
  };

  // ---- when

  let paused = false;
  let asking = false;
  let failures = 0;
  let tag = ""; // of the page as it was drawn last
  let gapMs = EVERY_MS;
  let lookedAt = performance.now();
  let timer = 0;
  let dueAt = Infinity;

  const say = (text) => {
    const state = document.getElementById("live-state");
    if (state && state.textContent !== text) state.textContent = text;
  };

  const describe = () => {
    const button = document.getElementById("live-switch");
    if (!button) return;
    button.hidden = false;
    button.textContent = paused ? "Go on" : "Pause";
    button.onclick = () => {
      paused = !paused;
      describe();
      follow();
      if (!paused) look();
    };
    say(paused ? "Renewing is paused." : "This page renews itself.");
  };

  const lookIn = (ms) => {
    const at = performance.now() + ms;
    if (at >= dueAt) return; // it is looked sooner
    clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(look, ms);
  };

  const look = async () => {
    clearTimeout(timer);
    dueAt = Infinity;
    if (paused || asking || document.hidden) return;
    asking = true;
    const began = performance.now();
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store", headers });
      if (answer.redirected && new URL(answer.url).pathname !== location.pathname) {
        location.reload(); // the session is over
        return;
      }
      if (!answer.ok && answer.status !== 304) throw new Error(String(answer.status));
      if (answer.ok) {
        renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
        tag = [...parts()].some(isBusyIn) ? "" : answer.headers.get("ETag"); // what was left out comes next time
      } else if (failures) describe();
      failures = 0;
    } catch {
      failures += 1;
      say("The server does not answer; it is asked again.");
    } finally {
      asking = false;
      lookedAt = performance.now();
      gapMs = Math.max(EVERY_MS, SHARE * (lookedAt - began));
      const wait = failures ? Math.min(EVERY_MS * 2 ** failures, SLOWEST_MS) : told() ? IDLE_MS : gapMs;
      lookIn(wait * (0.9 + 0.2 * Math.random())); // not all pages at once
    }
  };

  // ---- being told

  let source = null;
  let notBefore = 0;
  const told = () => source !== null && source.readyState === EventSource.OPEN;
  const happened = () => lookIn(Math.max(0, lookedAt + gapMs - performance.now()));

  const follow = () => {
    const address = document.body.dataset.events;
    const wanted = Boolean(address) && !paused && !document.hidden && performance.now() >= notBefore;
    if (source && (!wanted || source.readyState === EventSource.CLOSED)) {
      source.close();
      source = null;
    }
    if (!wanted || source) return;
    source = new EventSource(address);
    for (const name of ["open", "stream", "alert"]) source.addEventListener(name, happened);
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return; // it comes again by itself
      notBefore = performance.now() + EVENTS_AGAIN_MS; // all places are taken: ask instead
      happened();
      setTimeout(follow, EVENTS_AGAIN_MS);
    };
  };

  document.addEventListener("visibilitychange", () => {
    follow();
    if (!document.hidden) look();
  });
  describe();
  lookIn(gapMs);
  if (document.readyState === "complete") follow();
  else window.addEventListener("load", follow); // or the page would seem to load for ever
})();
