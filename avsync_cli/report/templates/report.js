"use strict";
// The page is whole without this: it adds a cursor over the timeline, opens tables for print, and
// sorts and filters the overview.
(function () {
  function clock(s) {
    var t = Math.round(s * 10), m = Math.floor(t / 600), h = Math.floor(m / 60);
    var sec = ((t % 600) / 10).toFixed(1).padStart(4, "0");
    return h ? h + ":" + String(m % 60).padStart(2, "0") + ":" + sec : m + ":" + sec;
  }
  function during(rows, s) {
    return rows.filter(function (row) { return row[0] <= s && s < row[1]; });
  }
  document.querySelectorAll(".overtime").forEach(function (figure) {
    var data = JSON.parse(figure.querySelector("script").textContent);
    var seek = figure.querySelector(".seek");
    var input = seek.querySelector("input"), output = seek.querySelector("output");
    var pictures = figure.querySelectorAll("svg");
    seek.hidden = false;
    function show(s) {
      var said = during(data.segments, s).map(function (row) { return row[2]; });
      var blocks = during(data.blocks, s);
      blocks.slice(0, 4).forEach(function (row) { said.push(row[2]); });
      if (blocks.length > 4) { said.push("and " + (blocks.length - 4) + " more regions"); }
      output.textContent = clock(s) + (said.length ? ": " + said.join("; ") : "");
      input.setAttribute("aria-valuetext", output.textContent);
      pictures.forEach(function (svg) {
        var line = svg.querySelector(".cursor"), sides = svg.dataset.plot.split(" ").map(Number);
        var x = sides[0] + (s - data.start) / (data.end - data.start) * (sides[1] - sides[0]);
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
        line.style.visibility = "visible";
      });
    }
    function fit() {
      pictures.forEach(function (svg) {
        var box = svg.getBoundingClientRect();
        if (!box.width) { return; }
        var scale = box.width / svg.viewBox.baseVal.width;
        var sides = svg.dataset.plot.split(" ").map(Number);
        // The knob's middle stops half its width short of the ends.
        input.style.marginLeft = sides[0] * scale - 8 + "px";
        input.style.width = (sides[1] - sides[0]) * scale + 16 + "px";
      });
    }
    input.addEventListener("input", function () { show(Number(input.value)); });
    input.addEventListener("focus", function () { show(Number(input.value)); });
    pictures.forEach(function (svg) {
      svg.addEventListener("pointermove", function (event) {
        var box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
        var sides = svg.dataset.plot.split(" ").map(Number);
        var share = ((event.clientX - box.left) / scale - sides[0]) / (sides[1] - sides[0]);
        var s = data.start + Math.min(0.9999, Math.max(0, share)) * (data.end - data.start);
        input.value = s;
        show(s);
      });
    });
    addEventListener("resize", fit);
    fit();
  });
  document.querySelectorAll(".toggle").forEach(function (label) {
    var input = label.querySelector("input");
    label.hidden = false;
    input.addEventListener("change", function () {
      label.closest("section").classList.toggle("bare", !input.checked);
    });
  });
  document.querySelectorAll(".filters").forEach(function (form) {
    var body = document.querySelector(".overview tbody"), rows = Array.from(body.rows);
    var severity = ["out_of_sync", "error", "undecided", "in_sync"];
    function filter() {
      var wanted = new FormData(form), name = wanted.get("name").toLowerCase(), shown = 0;
      rows.forEach(function (row) {
        row.hidden = !wanted.getAll("status").includes(row.dataset.status) ||
          !row.dataset.path.toLowerCase().includes(name);
        shown += !row.hidden;
        var href = row.querySelector("a").getAttribute("href");
        if (href[0] === "#") { document.getElementById(href.slice(1)).hidden = row.hidden; }
      });
      form.querySelector("output").textContent = shown + " of " + rows.length + " shown";
    }
    function value(row, key) {
      var text = row.dataset[key];
      if (key === "path") { return text; }
      return key === "status" ? severity.indexOf(text) : text === "" ? null : Number(text);
    }
    function order(key, down) {
      var collator = new Intl.Collator(undefined, { numeric: true });
      rows.sort(function (a, b) {
        var x = value(a, key), y = value(b, key);
        if (x === null || y === null) { return (x === null) - (y === null); }  // no figure: last
        return (key === "path" ? collator.compare(x, y) : x - y) * (down ? -1 : 1);
      });
      body.append.apply(body, rows);
    }
    var heads = document.querySelectorAll(".overview th");
    heads.forEach(function (head) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        order(head.dataset.key, down);
      });
    });
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
  });
  addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  });
})();
