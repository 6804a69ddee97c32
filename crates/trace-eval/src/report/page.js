document.querySelectorAll("table.sortable").forEach(function (table) {
  table.querySelectorAll("thead th").forEach(function (head, column) {
    head.addEventListener("click", function () {
      var up = head.getAttribute("aria-sort") !== "ascending", body = table.tBodies[0];
      table.querySelectorAll("th").forEach(function (h) { h.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      var key = function (row) {
        var cell = row.cells[column], v = cell.dataset.v;
        return v !== undefined ? parseFloat(v) : cell.classList.contains("n") ? NaN : cell.textContent.trim().toLowerCase();
      };
      Array.from(body.rows).map(function (row) { return [key(row), row]; }).sort(function (a, b) {
        var x = a[0], y = b[0];
        if (x !== x) return y !== y ? 0 : 1; // no value: last, whichever way
        if (y !== y) return -1;
        var order = x < y ? -1 : x > y ? 1 : 0;
        return up ? order : -order;
      }).forEach(function (pair) { body.appendChild(pair[1]); });
    });
  });
});
var zoom = document.getElementById("zoom");
document.querySelectorAll(".pictures img").forEach(function (img) {
  img.addEventListener("click", function () {
    zoom.querySelector("img").src = img.src;
    zoom.querySelector("p").textContent = img.alt;
    zoom.showModal();
  });
});
zoom.addEventListener("click", function () { zoom.close(); });
