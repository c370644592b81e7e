// SPDX-License-Identifier: BSL-1.0
// Browsers start no worker from file://, and the search runs in one. There it runs in a frame that nobody sees.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #waiting = [];
    onmessage = null;
    onerror = null;
    onmessageerror = null;

    constructor(url) {
      super();
      const from = event => {
        if (event.source !== this.#frame.contentWindow) return;
        const said = new MessageEvent("message", {data: event.data});
        this.dispatchEvent(said);
        if (this.onmessage) this.onmessage(said);
      };
      addEventListener("message", from);
      this.terminate = () => {
        removeEventListener("message", from);
        this.#frame.remove();
      };
      this.#frame.hidden = true;
      const script = document.createElement("script");
      script.src = new URL(url, location.href).href;
      // In a worker postMessage() speaks to the page; in a frame that is the parent.
      this.#frame.srcdoc = "<!doctype html><script>" +
        "window.importScripts = (...urls) => urls.forEach(u => document.write('<script src=\"' + u + '\"><\\/script>'));" +
        "window.postMessage = data => parent.postMessage(data, '*');<\/script>" + script.outerHTML;
      this.#frame.addEventListener("load", () => {
        const waiting = this.#waiting;
        this.#waiting = null;
        for (const data of waiting) this.#send(data);
      });
      document.body.append(this.#frame);
    }

    postMessage(data) {
      if (this.#waiting) this.#waiting.push(data);
      else this.#send(data);
    }

    #send(data) {
      const inside = this.#frame.contentWindow;
      if (inside) inside.dispatchEvent(new inside.MessageEvent("message", {data}));
    }
  };
}
