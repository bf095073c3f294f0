// Has the page load itself again when another version of it is served.
(() => {
  "use strict";
  if (window.stackReload) return;
  window.stackReload = true;
  const shown = document.currentScript.dataset.version;
  let source;
  let note;

  const reload = (version) => {
    const tried = `${shown} ${version}`;
    try {
      // What comes out of a cache would be loaded again for ever.
      if (sessionStorage.getItem("stack-reload") === tried) return;
      sessionStorage.setItem("stack-reload", tried);
    } catch {
      // There is no storage for this page.
    }
    source.close();
    location.reload();
  };

  const show = (failure) => {
    if (!failure) return note?.remove();
    note ??= document.createElement("div");
    note.style.cssText =
      "position:fixed;inset:auto 0 0;z-index:2147483647;padding:.5em 1em;background:#b00020;color:#fff;font:14px monospace";
    note.textContent = `Not the newest code: ${failure}`;
    document.body.append(note);
  };

  const listen = () => {
    source = new EventSource("/.stack/events");
    source.onmessage = ({ data }) => {
      const { version, failure } = JSON.parse(data);
      if (version === shown) show(failure);
      else reload(version);
    };
    // It comes back by itself, unless what it got was no stream.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED && !document.hidden) setTimeout(listen, 500);
    };
  };

  // Browsers allow six connections to a host, and somebody may have more tabs than that.
  document.addEventListener("visibilitychange", () => {
    source?.close();
    if (!document.hidden) listen();
  });
  if (!document.hidden) listen();
})();
