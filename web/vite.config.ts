import { defineConfig } from "vite";

/** Built to `web/dist`, which the coordinator serves at `/`. Nothing inline: its content security policy forbids it. */
const config = defineConfig({
  root: import.meta.dirname,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2024",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": process.env["TOROID_URL"] ?? "http://127.0.0.1:7433" } },
});

// oxlint-disable-next-line import/no-default-export
export default config;
