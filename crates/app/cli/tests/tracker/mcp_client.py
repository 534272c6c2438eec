"""An agent that works one issue through the Model Context Protocol's own client library.

Usage: mcp_client.py WOOTZ FOLDER
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def work(session):
    await session.initialize()
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    wanted = {"create", "ready", "claim", "finish", "show", "list", "dep_add", "comment", "prime", "steal"}
    assert wanted <= tools.keys(), sorted(wanted - tools.keys())
    assert tools["create"].input_schema["required"] == ["title"], tools["create"].input_schema
    assert tools["create"].input_schema["properties"]["priority"]["type"] == "integer"
    assert tools["list"].annotations.read_only_hint and not tools["claim"].annotations.read_only_hint

    async def call(name, **arguments):
        result = await session.call_tool(name, arguments)
        return result.is_error, json.loads(result.content[0].text)

    _, first = await call("create", title="Überschrift 日本", description="two\nlines", priority=0)
    _, second = await call("create", title="Second", dep=["blocks:" + first["id"]])
    _, ready = await call("ready")
    assert [issue["id"] for issue in ready] == [first["id"]], ready
    _, claimed = await call("ready", claim=True, lease="1h")
    assert claimed["title"] == "Überschrift 日本" and claimed["session_id"] == "agent", claimed
    failed, error = await call("steal", id=first["id"], session="other")
    assert failed and error["error"]["code"] == "claimed", error
    failed, error = await call("show", id="nothing")
    assert failed and error["error"]["code"] == "not_found", error
    await call("finish", id=first["id"], reason="done")
    _, ready = await call("ready")
    assert [issue["id"] for issue in ready] == [second["id"]], ready
    _, shown = await call("show", id=first["id"])
    assert shown["description"] == "two\nlines" and shown["status"] == "closed", shown


async def main():
    server = StdioServerParameters(
        command=sys.argv[1], args=["issue", "mcp", "--session", "agent"], cwd=sys.argv[2]
    )
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            await work(session)
    print("the client is content")


asyncio.run(main())
