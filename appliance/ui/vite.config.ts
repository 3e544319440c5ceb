import react from "@vitejs/plugin-react";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vite";

// HOLDFAST_DIR names the folder of a running `holdfast up`: `npm run dev` then serves the app against it.
function target(): string {
  const dir = process.env["HOLDFAST_DIR"];
  if (!dir) return "https://127.0.0.1:8080";
  return (JSON.parse(readFileSync(join(dir, "ready.json"), "utf8")) as { webUrl: string }).webUrl;
}

export default defineConfig(({ command }) => ({
  plugins: [react()],
  build: { target: "es2022", sourcemap: false, manifest: true, assetsInlineLimit: 0 },
  server: command === "serve" ? { proxy: { "/api": { target: target(), secure: false, changeOrigin: true } } } : {},
}));
