// Refreshes the parts of a page marked with `data-live` and an id, when the server says that the
// page has changed. The page is fetched again as a whole: what it shows is decided in one place.
"use strict";
(() => {
  const main = document.querySelector("main[data-live-path]");
  if (!main || !window.EventSource) return;
  const state = document.querySelector("[data-live-state]");
  const show = (text) => {
    if (!state) return;
    state.hidden = false;
    state.textContent = text;
  };
  // A part that a person is working in is left alone: a form that is open, a field with focus,
  // something that is being loaded into it.
  const busy = (part) =>
    part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")
    || part.querySelector("details.act[open], input:checked[data-keep], .htmx-request") !== null;
  // What the server sent last of each part: scripts change it afterwards, as a chart that is drawn.
  const parts = () => document.querySelectorAll("[data-live][id]");
  const sent = new Map([...parts()].map((part) => [part.id, part.outerHTML]));
  let refreshing = false;
  let again = false;
  const refresh = async () => {
    if (refreshing) {
      again = true;
      return;
    }
    refreshing = true;
    try {
      const response = await fetch(location.href, { headers: { "X-Live": "1", Accept: "text/html" } });
      if (response.redirected || !response.ok) throw new Error(String(response.status));
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      parts().forEach((part) => {
        const other = fresh.getElementById(part.id);
        if (!other || busy(part) || other.outerHTML === sent.get(part.id)) return;
        sent.set(part.id, other.outerHTML);
        const open = [...part.querySelectorAll("details[open]")].map((d) => d.id).filter(Boolean);
        const node = document.importNode(other, true);
        open.forEach((id) => node.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", ""));
        // What was loaded into the part on demand stays, where its place is still there.
        part.querySelectorAll("[data-loaded][id]").forEach((loaded) => {
          const place = node.querySelector(`#${CSS.escape(loaded.id)}`);
          if (place && loaded.hasChildNodes()) place.replaceChildren(...loaded.childNodes);
        });
        part.replaceWith(node);
        window.htmx?.process(node);
      });
      document.dispatchEvent(new Event("slipway:refreshed"));
      show("live");
    } catch {
      show("not live: reload the page");
    } finally {
      refreshing = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };
  let source = null;
  const disconnect = () => {
    source?.close();
    source = null;
  };
  const connect = () => {
    if (source || document.hidden) return;
    source = new EventSource(main.dataset.livePath);
    source.addEventListener("open", () => show("live"));
    source.addEventListener("changed", refresh);
    source.addEventListener("ended", () => {
      disconnect();
      show("not live: reload the page");
    });
    // The browser connects again by itself, unless the server refused: then after a minute.
    source.addEventListener("error", () => {
      show("not live: connecting again");
      if (source?.readyState !== EventSource.CLOSED) return;
      disconnect();
      setTimeout(connect, 60000);
    });
  };
  connect();
  // A hidden tab holds no connection; shown again, it hears at once whether the page has changed.
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  window.addEventListener("pagehide", disconnect);
  window.addEventListener("pageshow", (event) => event.persisted && connect());
})();
