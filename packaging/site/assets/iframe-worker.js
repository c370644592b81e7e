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
      this.#frame.hidden = true;
      this.#frame.said = data => {
        const event = new MessageEvent("message", {data: structuredClone(data)});
        setTimeout(() => {
          if (this.onmessage) this.onmessage(event);
          this.dispatchEvent(event);
        });
      };
      const script = document.createElement("script");
      script.src = new URL(url, location.href).href;
      const post = document.createElement("script");
      post.textContent = "window.postMessage = data => frameElement.said(data)";
      this.#frame.srcdoc = "<!doctype html>" + post.outerHTML + script.outerHTML;
      this.#frame.addEventListener("load", () => {
        const waiting = this.#waiting;
        this.#waiting = null;
        for (const data of waiting) this.#send(data);
      });
      document.body.append(this.#frame);
    }

    postMessage(data) {
      data = structuredClone(data);
      if (this.#waiting) this.#waiting.push(data);
      else this.#send(data);
    }

    terminate() {
      this.#frame.remove();
    }

    #send(data) {
      const inside = this.#frame.contentWindow;
      if (!inside) return;
      setTimeout(() => inside.dispatchEvent(new inside.MessageEvent("message", {data})));
    }
  };
}
