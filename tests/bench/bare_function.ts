/** The least that a function on Deno KV does: it stores what comes, and answers. */

const kv = await Deno.openKv();

export default {
  async fetch(request: Request): Promise<Response> {
    const order: unknown = await request.json();
    const { ok } = await kv.atomic().check({ key: ["order", 1], versionstamp: null }).set(["order", 1], order)
      .commit();
    return Response.json(order, { status: ok ? 201 : 409 });
  },
} satisfies Deno.ServeDefaultExport;
