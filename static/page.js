// What makes the pages quicker to use; each of them works without.
(() => {
  "use strict";

  // Light or dark at once, without loading the page again.
  const theme = document.querySelector("form.theme");
  theme?.addEventListener("submit", async (event) => {
    const button = event.submitter;
    if (!button) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(theme));
    body.set("theme", button.value);
    const wanted = button.value === "auto" ? null : button.value;
    if (wanted) document.documentElement.dataset.theme = wanted;
    else delete document.documentElement.dataset.theme;
    for (const other of theme.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    document.querySelector('meta[name="color-scheme"]').content = wanted ?? "light dark";
    await fetch(theme.action, { method: "POST", body, redirect: "manual" });
  });

  // Filters apply as they are chosen.
  for (const form of document.querySelectorAll("form.filters")) {
    form.addEventListener("change", (event) => {
      if (event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
    });
  }

  // One open panel at a time; Escape and a click elsewhere close it.
  const panels = () => document.querySelectorAll("details.mark[open], details.switcher[open]");
  document.addEventListener("toggle", (event) => {
    const opened = event.target;
    if (!opened.open || !opened.matches?.("details.mark, details.switcher")) return;
    for (const other of panels()) if (other !== opened) other.open = false;
  }, true);
  document.addEventListener("click", (event) => {
    for (const panel of panels()) if (!panel.contains(event.target)) panel.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const panel of panels()) {
      const held = panel.contains(document.activeElement);
      panel.open = false;
      if (held) panel.querySelector("summary").focus();
    }
  });

  // What-if in place: only that part of the answer is taken over, and what it says is spoken.
  // Who tries on before the answer is there gets one to all that was tried.
  let underWay = null;
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form.try-form")) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form, event.submitter));
    const picked = form.elements[event.submitter?.name?.replace("pick-", "value-")];
    if (picked) picked.value = event.submitter.value;
    const held = document.activeElement?.id;
    underWay?.abort();
    const mine = (underWay = new AbortController());
    let text = "";
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" }, signal: mine.signal });
      if (answer.ok) text = await answer.text();
    } catch {
      if (mine.signal.aborted) return;
    }
    const there = new DOMParser().parseFromString(text, "text/html");
    const fresh = there.getElementById("what-if-part");
    if (!fresh) {
      if (event.submitter?.name) {
        const picked = document.createElement("input");
        Object.assign(picked, { type: "hidden", name: event.submitter.name, value: event.submitter.value });
        form.append(picked);
      }
      form.submit(); // the page itself then says what is wrong
      return;
    }
    document.getElementById("what-if-part").replaceWith(document.adoptNode(fresh));
    document.getElementById("what-if-said").textContent = there.getElementById("what-if-said").textContent;
    if (held) document.getElementById(held)?.focus({ preventScroll: true });
  });
})();
