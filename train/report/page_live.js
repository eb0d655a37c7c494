// Follows live runs: asks for newer numbers, redraws the charts, and takes over tables and messages of a fresh page.
"use strict";
(() => {
  let version = normlabVersion;
  const refreshed = ["table.numbers", "main > .failure"];
  const ask = async () => {
    try {
      const answer = await fetch(`/data.json?since=${version}`);
      if (answer.status !== 200) return;
      const data = await answer.json();
      version = data.version;
      window.normlabUpdate(data.runs);
      const fresh = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
      refreshed.forEach((selector) => {
        const now = document.querySelector(selector), next = fresh.querySelector(selector);
        if (now && next) now.replaceWith(document.adoptNode(next));
        else if (next) document.querySelector("main").prepend(document.adoptNode(next));
      });
    } catch (e) { /* the server is gone, or a run is being written: the next time */ }
  };
  setInterval(ask, 2000);
})();
