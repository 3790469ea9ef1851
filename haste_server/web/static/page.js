// Renews what is marked `data-live` every few seconds, as long as somebody looks: the server draws all pages.
"use strict";

(() => {
  const EVERY_MS = 4000;
  const SLOWEST_MS = 60000; // while the server does not answer
  const parts = () => document.querySelectorAll("[data-live]");
  if (parts().length === 0) return;

  const seen = new WeakMap(); // what the server drew last
  for (const part of parts()) seen.set(part, part.innerHTML);

  let paused = false;
  let asking = false;
  let waitMs = EVERY_MS;
  let timer = 0;

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
      if (!paused) look();
    };
    say(paused ? "Renewing is paused." : "This page renews itself.");
  };

  // Who has moved to a link or a button by keyboard must not lose it when its surroundings are drawn anew.
  const placeOf = (element) => {
    if (!element || element === document.body) return null;
    const within = element.closest("[data-live]");
    if (!within) return null;
    const alike = (node) => node.tagName === element.tagName && node.textContent === element.textContent
      && node.getAttribute("href") === element.getAttribute("href") && node.id === element.id;
    return { id: within.id, alike };
  };

  const isBusyIn = (part) => {
    const active = document.activeElement;
    return part.contains(active) && ["INPUT", "SELECT", "TEXTAREA"].includes(active.tagName);
  };

  // What was opened or moved sideways stays so.
  const postureOf = (part) => ({
    open: [...part.querySelectorAll("details")].map((node) => node.open),
    left: [...part.querySelectorAll(".wide")].map((node) => node.scrollLeft),
  });

  const restore = (part, posture) => {
    part.querySelectorAll("details").forEach((node, number) => { node.open = Boolean(posture.open[number]); });
    part.querySelectorAll(".wide").forEach((node, number) => { node.scrollLeft = posture.left[number] || 0; });
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
        const again = [...part.querySelectorAll("a, button, [tabindex]")].find(place.alike);
        if (again) again.focus({ preventScroll: true });
      }
    }
    describe();
  };

  const look = async () => {
    clearTimeout(timer);
    if (paused || asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (answer.redirected && new URL(answer.url).pathname !== location.pathname) {
        location.reload(); // the session is over
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
      waitMs = EVERY_MS;
    } catch {
      waitMs = Math.min(2 * waitMs, SLOWEST_MS);
      say("The server does not answer; it is asked again.");
    } finally {
      asking = false;
      timer = setTimeout(look, waitMs);
    }
  };

  document.addEventListener("visibilitychange", look);
  describe();
  timer = setTimeout(look, waitMs);
})();
