// Describes the API by Swagger UI, from files of this server only.
"use strict";

(() => {
  const place = document.getElementById("api");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();

  window.SwaggerUIBundle({
    domNode: place,
    url: place.dataset.document,
    validatorUrl: null, // or the address of the document would be told to another server
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    // What is tried is asked for by who looks, as on all pages; with a token of its own, it counts instead.
    requestInterceptor: (request) => {
      const address = new URL(request.url, window.location.href);
      if (address.origin === window.location.origin && place.dataset.form) {
        request.headers["X-HASTE-Form"] = place.dataset.form;
      }
      return request;
    },
  });
})();
