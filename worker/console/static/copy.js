// Buttons that copy: `data-copy` is the text, `data-copy-from="next"` copies the block below.
"use strict";
(() => {
  const text = (button) => {
    if (button.dataset.copy !== undefined) return button.dataset.copy;
    const block = button.closest("figure").querySelector("pre").cloneNode(true);
    block.querySelectorAll("summary").forEach((summary) => summary.remove());
    return block.textContent;
  };
  const prepare = (root) => {
    if (!navigator.clipboard) return; // only over https and on this machine
    root.querySelectorAll("button.copy[hidden]").forEach((button) => (button.hidden = false));
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button.copy");
    if (!button) return;
    let state = "copied";
    try {
      await navigator.clipboard.writeText(text(button));
    } catch {
      state = "failed";
    }
    button.dataset.state = state;
    setTimeout(() => delete button.dataset.state, 1500);
  });
  // One menu open at a time; Escape closes it and returns to its button.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = event.target.closest?.("details.account[open], details.act[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
  document.addEventListener("slipway:refreshed", () => prepare(document));
  document.addEventListener("htmx:afterSwap", () => prepare(document));
  prepare(document);
})();
