"""Stand-ins for marketing platforms, written from their documentation: they keep a set and hold to the limits.

They prove that what leaves has the documented form and size, not that the platform does what its documentation says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.audiences.destinations.servers import Reply, Request

Seen = dict[str, dict[str, Any]]
HASH = re.compile(r"[0-9a-f]{64}\Z")


@dataclass
class Platform:
    """Who is in the audience, and everybody the platform knows."""

    people: Seen = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    dislikes: set[str] = field(default_factory=set)

    def seen(self) -> Seen:
        return {member: self.people.get(member, {}) for member in self.members}

    def erase(self, person: str) -> None:
        self.people.pop(person, None)
        self.members.discard(person)


class Klaviyo(Platform):
    def __call__(self, request: Request) -> Reply:
        assert request.headers["Authorization"] == "Klaviyo-API-Key sesame"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", request.headers["revision"])
        query = parse_qs(request.query)
        match request.method, request.path:
            case "POST", "/api/profile-bulk-import-jobs":
                data = request.json["data"]
                profiles = data["attributes"]["profiles"]["data"]
                assert data["type"] == "profile-bulk-import-job"
                assert data["relationships"] == {"lists": {"data": [{"type": "list", "id": "Y6nRLr"}]}}
                if len(profiles) > 10_000 or len(request.body) > 5_000_000:
                    return Reply(413)
                for profile in profiles:
                    attributes = dict(profile["attributes"])
                    person = attributes.pop("email")
                    self.people[person] = {**attributes.pop("properties", {}), **attributes}
                    self.members.add(person)
                return Reply(202, {"data": {"type": "profile-bulk-import-job", "id": "1"}})
            case "GET", "/api/profiles":
                values = re.fullmatch(r"any\(email,\[(.*)\]\)", query["filter"][0])[1]
                wanted = [value.strip().strip('"') for value in values.split(",")]
                assert len(wanted) <= 100
                found = [one for one in wanted if one in self.people]
                return Reply(200, {"data": [{"type": "profile", "id": f"id-{one}"} for one in found]})
            case "DELETE", "/api/lists/Y6nRLr/relationships/profiles":
                profiles = request.json["data"]
                if len(profiles) > 1_000:
                    return Reply(400)
                self.members -= {one["id"].removeprefix("id-") for one in profiles}
                return Reply(204)
            case "POST", "/api/data-privacy-deletion-jobs":
                attributes = request.json["data"]["attributes"]["profile"]["data"]["attributes"]
                self.erase(attributes["email"])
                return Reply(202)
            case "GET", "/api/lists/Y6nRLr/profiles":
                # Pages of five, so that the cursor is followed.
                start = int(query.get("page[cursor]", ["0"])[0])
                some = sorted(self.members)[start : start + 5]
                following = f"https://elsewhere.example/?page%5Bcursor%5D={start + 5}" if len(some) == 5 else None
                data = [{"type": "profile", "id": one, "attributes": {"email": one}} for one in some]
                return Reply(200, {"data": data, "links": {"next": following}})
        return Reply(404)


class Braze(Platform):
    def __call__(self, request: Request) -> Reply:
        assert request.headers["Authorization"] == "Bearer sesame"
        match request.method, request.path:
            case "POST", "/users/track":
                attributes = request.json["attributes"]
                if len(attributes) > 75:
                    return Reply(400, {"message": "too many"})
                errors = []
                for index, one in enumerate(attributes):
                    person = one.pop("external_id")
                    change = one.pop("ritorno_audiences")
                    existing_only = one.pop("_update_existing_only")
                    if person in self.dislikes:
                        errors.append({"type": f"'{person}' is invalid", "input_array": "attributes", "index": index})
                    elif "add" in change:
                        assert change == {"add": ["at_risk"]}
                        assert existing_only is False
                        self.people[person] = one
                        self.members.add(person)
                    else:
                        assert change == {"remove": ["at_risk"]}
                        assert existing_only is True
                        self.members.discard(person)
                return Reply(201, {"message": "success", "errors": errors} if errors else {"message": "success"})
            case "POST", "/users/delete":
                ids = request.json["external_ids"]
                if len(ids) > 50:
                    return Reply(400, {"message": "too many"})
                for person in ids:
                    self.erase(person)
                return Reply(201, {"message": "success", "deleted": len(ids)})
        return Reply(404)


class CustomerIo(Platform):
    def __call__(self, request: Request) -> Reply:
        assert request.headers["Authorization"].startswith("Basic ")
        if request.path == "/api/v2/batch":
            if len(request.body) > 500_000:
                return Reply(413)
            errors = []
            for index, one in enumerate(request.json["batch"]):
                assert one["type"] == "person"
                person = one["identifiers"]["id"]
                if person in self.dislikes:
                    errors.append({"batch_index": index, "reason": "invalid", "field": "id", "message": f"no {person}"})
                elif one["action"] == "identify":
                    self.people[person] = one["attributes"]
                else:
                    assert one["action"] == "delete"
                    self.erase(person)
            return Reply(207, {"errors": errors}) if errors else Reply(200, {})
        found = re.fullmatch(r"/api/v1/segments/7/(add|remove)_customers", request.path)
        if not found or request.method != "POST":
            return Reply(404)
        ids = request.json["ids"]
        if len(ids) > 1_000:
            return Reply(400)
        if found[1] == "add":
            self.members |= {one for one in ids if one in self.people}  # ids nobody has are ignored
        else:
            self.members -= set(ids)
        return Reply(200)


class HubSpot(Platform):
    def __call__(self, request: Request) -> Reply:
        assert request.headers["Authorization"] == "Bearer sesame"
        contacts = "/crm/v3/objects/contacts"
        memberships = "/crm/v3/lists/42/memberships"
        match request.method, request.path:
            case "POST", path if path == f"{contacts}/batch/upsert":
                inputs = request.json["inputs"]
                if len(inputs) > 100:
                    return Reply(400)
                results = []
                for one in inputs:
                    assert one["idProperty"] == "email"
                    assert all(isinstance(value, str) for value in one["properties"].values())
                    if one["id"] not in self.dislikes:
                        self.people[one["id"]] = one["properties"]
                        results.append({"id": f"id-{one['id']}", "properties": {"email": one["id"]}})
                return Reply(207 if len(results) < len(inputs) else 200, {"results": results})
            case "POST", path if path == f"{contacts}/batch/read":
                wanted = [one["id"].removeprefix("id-") for one in request.json["inputs"]]
                if len(wanted) > 100:
                    return Reply(400)
                found = [{"id": f"id-{one}", "properties": {"email": one}} for one in wanted if one in self.people]
                return Reply(207 if len(found) < len(wanted) else 200, {"results": found})
            case "PUT", path if path == f"{memberships}/add":
                self.members |= {one.removeprefix("id-") for one in request.json}
                return Reply(200, {"recordsIdsAdded": request.json})
            case "PUT", path if path == f"{memberships}/remove":
                self.members -= {one.removeprefix("id-") for one in request.json}
                return Reply(200, {"recordIdsRemoved": request.json})
            case "POST", path if path == f"{contacts}/gdpr-delete":
                assert request.json["idProperty"] == "email"
                known = request.json["objectId"] in self.people
                self.erase(request.json["objectId"])
                return Reply(204 if known else 404)
            case "GET", path if path == memberships:
                start = int(parse_qs(request.query).get("after", ["0"])[0])
                some = sorted(self.members)[start : start + 5]
                paging = {"paging": {"next": {"after": str(start + 5)}}} if len(some) == 5 else {}
                return Reply(200, {"results": [{"recordId": f"id-{one}"} for one in some], **paging})
        return Reply(404)


class Meta(Platform):
    def __call__(self, request: Request) -> Reply:
        assert request.headers["Authorization"] == "Bearer sesame"
        if request.path != "/v25.0/23850000000000/users":
            return Reply(404)
        sent = request.json
        schema, data = sent["payload"]["schema"], sent["payload"]["data"]
        if len(data) > 10_000:
            return Reply(400)
        assert sent["session"]["last_batch_flag"] is True
        assert 0 < sent["session"]["session_id"] < 2**63
        assert sent["session"]["estimated_num_total"] == len(data)
        assert set(schema) <= {"EMAIL", "PHONE", "EXTERN_ID", "FN", "LN", "CT", "ZIP", "COUNTRY"}
        kind = {"EMAIL": "email", "PHONE": "phone", "EXTERN_ID": "customer_key"}[schema[0]]
        invalid = 0
        for row in data:
            assert len(row) == len(schema)
            assert all(value == "" or HASH.match(value) for value in row), "something left that isn't hashed"
            person = f"{kind}:{row[0]}"
            if person in self.dislikes:
                invalid += 1
            elif request.method == "POST":
                self.people[person] = dict(zip(schema[1:], row[1:], strict=True))
                self.members.add(person)
            else:
                assert request.method == "DELETE"
                self.erase(person)
        return Reply(200, {"num_received": len(data), "num_invalid_entries": invalid, "invalid_entry_samples": {}})


class Google(Platform):
    def __call__(self, request: Request) -> Reply:
        assert request.headers["Authorization"] == "Bearer sesame"
        sent = request.json
        if len(sent["audienceMembers"]) > 10_000:
            return Reply(400)
        assert sent["encoding"] == "HEX"
        account = {"accountType": "GOOGLE_ADS", "accountId": "1234567890"}
        assert sent["destinations"] == [{"operatingAccount": account, "productDestinationId": "99"}]
        for one in sent["audienceMembers"]:
            (identifier, *address) = one["userData"]["userIdentifiers"]
            ((name, digest),) = identifier.items()
            assert HASH.match(digest)
            person = f"{ {'emailAddress': 'email', 'phoneNumber': 'phone'}[name] }:{digest}"
            if request.path == "/v1/audienceMembers:ingest":
                assert sent["termsOfService"] == {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
                assert sent["consent"] == {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
                self.people[person] = address[0]["address"] if address else {}
                self.members.add(person)
            else:
                assert request.path == "/v1/audienceMembers:remove"
                self.erase(person)
        return Reply(200, {"requestId": "126365e1-16d0-4c81-9de9-f362711e250a"})
